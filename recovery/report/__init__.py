"""Reports as HTML and JSON: a timeline, figures, and what is still to do. A rehearsal's drills share the renderer."""
