"""What a training loop needs around its step: batches, metrics, progress, checkpoints, reports."""
