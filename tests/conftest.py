"""Fixtures for all folders of tests."""

from standins.fixtures import standin_folder, standin_head_folder, standin_optional_folder

__all__ = ["standin_folder", "standin_head_folder", "standin_optional_folder"]
