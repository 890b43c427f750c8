"""What takes minutes at full size: ``make soak``. Every run of the tests has a small one."""
