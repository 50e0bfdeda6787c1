"""From what somebody sent to the items that may be trained on: `raw_batch` and `validated_data`."""
