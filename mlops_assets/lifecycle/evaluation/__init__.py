"""What a candidate, production and the baseline are worth, measured on the same sets: `eval_report`."""
