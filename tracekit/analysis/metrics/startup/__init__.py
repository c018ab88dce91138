"""What starting and ending workers costs."""
