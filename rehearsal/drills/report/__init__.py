"""What a run of drills has found, as an HTML page with timelines, as JSON, and as rows for a terminal."""
