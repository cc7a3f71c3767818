"""Statistics: metrics, confidence intervals, calibration, thresholds, classifiers' AUC."""
