"""Training on the data of several sites, which stay there (McMahan et al., Communication-Efficient Learning of Deep
Networks from Decentralized Data, 2017): rounds of local training and of averaging."""
