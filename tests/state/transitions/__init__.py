"""What commands mean, one behaviour, one test."""
