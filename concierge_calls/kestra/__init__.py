"""Everything that speaks Kestra, in Kestra's words; nothing of it is loaded before a run goes that way."""
