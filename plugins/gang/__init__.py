"""A gang as pods: its Service and members, their ends, and what watches over them."""
