"""p_det: axes, the fit, intervals, support, shares in cells, and a copy for those without lensctl."""
