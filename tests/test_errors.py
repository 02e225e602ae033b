import math

import pytest

from lidar2d.errors import SettingError, within


def test_within_names_the_first_setting_out_of_reach():
    within(0, 1, low=0, high=1.0, none=None, several=(0.5, 1))
    within(0, huge=1e30)
    with pytest.raises(SettingError, match=r"^size is \[3, 0\]; it must be at least 1$"):
        within(1, count=2, size=(3, 0))
    with pytest.raises(SettingError, match=r"^share is 1.5; it must be from 0 to 1$"):
        within(0, 1, share=1.5)


def test_within_refuses_what_is_no_number():
    with pytest.raises(SettingError, match="rate is nan"):
        within(0, rate=math.nan)
