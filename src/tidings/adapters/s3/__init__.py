"""Adapters over an object storage that speaks Amazon's S3."""
