"""The corruptions of ImageNet-C and its relatives, for camera pictures at the resolution that they were taken at.

D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
2019; C. Michaelis et al., "Benchmarking Robustness in Object Detection", 2019; L. Kong et al., "RoboDepth", NeurIPS
2023.
They know nothing of light or distance: what they do is done to displayed values. LiDARs are left alone.
"""
