"""What is to be done, and every conflict in it, before a picture is opened."""
