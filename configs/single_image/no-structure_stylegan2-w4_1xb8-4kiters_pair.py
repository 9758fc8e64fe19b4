_base_ = './fsesim_stylegan2-w4_1xb8-4kiters_pair.py'

model = dict(structure_loss=None)
