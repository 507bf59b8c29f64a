"""What ejabberd 20 to 23 has written: the text dump of its Mnesia database, or its SQL database."""
