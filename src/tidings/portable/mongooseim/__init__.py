"""What MongooseIM 5 and 6 have written into their SQL database."""
