import pytest
from command_line import CommandLine


@pytest.fixture
def command_line(tmp_path):
    return CommandLine(tmp_path)
