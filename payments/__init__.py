"""The payments function: takes a payment once, keeps it in the stores of its region, and says how it is doing.

It runs on what the Lambda runtime has, the standard library and boto3, and on pg8000, which its package brings.
"""
