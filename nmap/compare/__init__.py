"""Two maps compared: values first, no words, and nothing known of networks."""
