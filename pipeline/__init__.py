"""What make runs around the notebooks. No notebook imports it."""
