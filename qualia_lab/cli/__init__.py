"""The commands: one thin file each; ``console.py`` holds the one error boundary."""
