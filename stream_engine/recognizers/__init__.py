"""Recognisers: what turns windows of audio into words."""
