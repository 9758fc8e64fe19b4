_base_ = './fsesim_stylegan2_1xb16-50kiters_pair.py'

model = dict(structure_loss=None)
