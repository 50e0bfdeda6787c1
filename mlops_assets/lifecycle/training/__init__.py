"""From validated items to a candidate: `candidate_model`."""
