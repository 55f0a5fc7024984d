"""The methods that the hybrid is compared with, as training code; each gives integer scores."""
