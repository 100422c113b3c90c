"""The steps, a file each. `batch.pipeline` finds them."""
