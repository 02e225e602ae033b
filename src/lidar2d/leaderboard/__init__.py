"""Tables and pages made of records: nothing in them is typed by hand."""
