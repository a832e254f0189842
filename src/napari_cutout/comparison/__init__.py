"""Which method works on my data: methods run, tuned on some strokes, scored on others, and ranked."""
