"""Virtual boards: starting, finding and stopping them. Imports only layers 0 and 1."""
