PASSWORD = "kirschbaum im april"  # of every customer, in all systems
EMAILS = [f"person{number}@schule.example" for number in range(1, 1001)]
