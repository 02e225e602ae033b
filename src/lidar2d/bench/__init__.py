"""The evaluation harness: encoders judged under named protocols, cell by cell, into records."""
