"""The page of a run: one HTML file that holds everything it shows and asks the network for nothing."""
