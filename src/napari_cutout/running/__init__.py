"""Runs: what a recipe will take, and running it on arrays, files, folders and stores, whole or tile by tile."""
