"""What reliability_kills.py needs: small material, the commands, what a folder holds, and processes that are killed."""
