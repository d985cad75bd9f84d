"""The Rig: analyse once, edit many; transfer of code parts, contact sheets."""
