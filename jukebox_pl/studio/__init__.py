"""What the app is made of: a form and its answers, songs in the making, the page."""
