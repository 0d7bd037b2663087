"""What the app is made of: a form and its values, jobs that run in a thread, the page."""
