"""Cutouts of a catalogue by cutana's orchestrator, into Zarr; prints how many a second."""

import json
import sys
import time

if __name__ == "__main__":
    from cutana import Orchestrator, get_default_config

    catalogue, folder, workers, rows = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    config = get_default_config()
    config.source_catalogue, config.output_dir, config.max_workers = catalogue, f"{folder}/cutana", workers
    config.output_format, config.data_type, config.target_resolution = "zarr", "float32", 101
    config.selected_extensions = [{"name": band, "ext": "COMPRESSED_IMAGE"} for band in "GRZ"]
    config.fits_extensions = [1]
    config.channel_weights = {band: [float(band == other) for other in "GRZ"] for band in "GRZ"}
    config.apply_flux_conversion, config.normalisation_method = False, "none"
    config.skip_catalogue_validation = config.skip_fits_check = True
    config.loadbalancer.skip_memory_calibration_wait = True
    config.loadbalancer.initial_workers = workers
    config.loadbalancer.main_process_memory_reserve_gb = 1.0
    started = time.perf_counter()
    said = Orchestrator(config).run()
    passed = time.perf_counter() - started
    if said["status"] != "completed" or said["total_sources"] != rows:
        sys.exit(f"cutana says {said}")
    print(json.dumps({"per_second": rows / passed}))
