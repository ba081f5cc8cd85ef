"""Everything that speaks Vapi: nothing outside this folder knows Vapi's names."""
