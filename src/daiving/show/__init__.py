"""What people look at: terminal, charts, reports."""
