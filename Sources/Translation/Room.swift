// Translation: page walk, EPT walk and composition, as pure functions.
