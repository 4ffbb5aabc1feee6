// Platform: the devices that L1 sees.
