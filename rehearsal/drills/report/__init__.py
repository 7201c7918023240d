"""The results of a run of drills, as an HTML page with timelines, as JSON, and as rows for a terminal."""
