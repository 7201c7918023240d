"""The payments function: accepts each payment once, stores it in its region, and reports its own health.

It runs on what the Lambda runtime has, the standard library and boto3, and on pg8000, which its package brings.
"""
