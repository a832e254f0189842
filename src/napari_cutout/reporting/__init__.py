"""Reports that can be sent: one page that needs nothing else, tables for a paper, and what it takes to check them."""
