"""How sure a figure is: intervals, metrics, calibration, thresholds, classifiers' AUC."""
