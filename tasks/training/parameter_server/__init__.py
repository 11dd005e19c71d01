"""Training one network asynchronously: workers compute gradients, each at its own pace, servers hold the variables.

TensorFlow's ParameterServerStrategy and its ClusterCoordinator (Li et al., Scaling Distributed Machine Learning with
the Parameter Server, 2014) run below a gang's supervisors; what is read, kept, validated and committed is as in
``tasks.training.mirrored``.
"""
